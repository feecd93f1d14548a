"""Programs for the environments of Kubeflow's SDKs, run beside what a learner wrote; never imported here."""
