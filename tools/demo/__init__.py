"""The demo: `python -m tools.demo`, from the checkout."""
