# The bucket ml-model-artifacts, in production form: write it here.
