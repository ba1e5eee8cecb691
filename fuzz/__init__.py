"""
Fuzzing: what every parser makes of input that nobody meant well. `python -m fuzz`.

`damage` makes the input; `formats`, `group`, `files` and `calls` have the
targets, each with what must be true whatever comes.
"""
