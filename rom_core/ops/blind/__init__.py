"""The blind test: is a new arm (model, flags, release) worse than the old one? `rom blind`, docs/blind.md.

`questions` are asked of two arms by `collect`, kept in a `folder`, judged without names by people (`judging`) and apart
from them by a model (`model_judge`); `facts` checks what a program can check; `verdict` says what it comes to, by the
tests of `statistics`.
"""
