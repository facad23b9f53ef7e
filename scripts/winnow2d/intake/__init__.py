"""Checks a user's particles and enters them in the project; nothing long runs before this has passed."""
