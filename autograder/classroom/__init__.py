"""What a cohort needs around grading: work handed in as one file, a roster, a late policy, an overview."""
