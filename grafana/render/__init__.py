"""Pictures of the dashboards without a Grafana server: their JSON, drawn by Grafana's own components in Chromium."""
