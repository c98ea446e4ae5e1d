"""What Prefect does not give by itself: funnel, progress, a temporary server."""
