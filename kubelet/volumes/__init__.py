"""What is mounted into containers: one file per kind of volume, and the manager that walks a pod."""
