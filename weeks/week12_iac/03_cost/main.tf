# The groups training and serving at half the price, with tags, a budget, an alarm and a dashboard: write it here.
