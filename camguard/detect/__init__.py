"""What happened: Flow and Reading in, sessions out (pure). No word here of what the owner minds: that is judge/.

shape.py    do the numbers of one connection look like live video or sound
calls.py    RTSP dialogues and where their media goes
media.py    what else was read of pictures, sound and control; what comes piece by piece; who was announced
weight.py   bursts of bytes worth a session: clips, downloads
stream.py   sessions made of all this: they open, change and close (followed.py: one of them)
"""
