"""What people read: tables, charts and JSON made of the economics."""
