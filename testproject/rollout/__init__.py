"""The main job: deploy three releases of the shop under traffic, and tell what its users felt."""
