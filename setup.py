"""What pyproject.toml can't say: where the twistd plugin is."""

from setuptools import find_packages, setup

setup(
    # twisted/plugins must never get an __init__.py, so no finder sees it: listed by hand.
    packages=[*find_packages(include=["p2ptwisted", "p2ptwisted.*"]), "twisted.plugins"],
    package_data={"p2ptwisted": ["py.typed", "systemd/*"]},
    # Without this an editable install maps each package by itself and hides the plugin.
    package_dir={"": "."},
)
