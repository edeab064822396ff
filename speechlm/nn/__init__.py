"""Layers and adaptation that encoders, bridges and heads are built from."""
