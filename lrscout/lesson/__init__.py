"""The lesson that lrscout grew out of: fit a line by gradient descent, and see what rate and steps do.

`problem.py` is the data, the loss and the exact answer; `engines.py` the same descent on four engines;
`descent.py` one run of it; `lr_map.py` many; `story.py` all of it, told.
"""
