"""What pyproject.toml can't say: where the twistd plugin is."""

from setuptools import setup

setup(
    # Listed by hand: twisted/plugins must never get an __init__.py, so no finder sees it.
    packages=[
        "p2ptwisted",
        "p2ptwisted.protocols",
        "p2ptwisted.web",
        "p2ptwisted.test",
        "twisted.plugins",
    ],
    package_data={"p2ptwisted": ["py.typed"]},
    # Without this an editable install maps each package by itself and hides the plugin.
    package_dir={"": "."},
)
