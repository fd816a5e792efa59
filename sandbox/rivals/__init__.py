"""Rivals: what a network must beat, methods that count, compare or solve linear equations; one division for both."""
