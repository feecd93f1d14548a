"""What brings the cluster to the state that its objects ask for, one small controller for each task."""
