"""Kubeflow's parts on one machine: pipelines run locally, searches, predictors, and its resources."""
