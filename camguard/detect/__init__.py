"""What happened: Flow and Reading in, sessions out (pure). No word here of what the owner minds: that is judge/.

shape.py    do the numbers of one connection look like live video or sound
stream.py   viewings and other talk of weight: they open, change and close
"""
