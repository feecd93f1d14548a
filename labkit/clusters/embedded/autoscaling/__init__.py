"""Metrics, and HorizontalPodAutoscalers that scale by them."""
