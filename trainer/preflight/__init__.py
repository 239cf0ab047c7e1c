"""Before an hour of training: can this model be trained, served and exported with what is installed here?

A ladder of seven rungs, each in a process of the environment that it asks about. Each failure names its wall: the
packages at fault, the first line of the error that means something, and the command that mends it.
"""
