"""What happened: Flow and Reading in, sessions out (pure). No word here of what the owner minds: that is judge/.

shape.py    do the numbers of one connection look like live video or sound
calls.py    RTSP dialogues and where their media goes
weight.py   bursts of bytes worth a session: clips, downloads
stream.py   sessions made of all this: they open, change and close
"""
