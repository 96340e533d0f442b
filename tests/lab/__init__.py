"""The lab: a home in network namespaces with real cameras' programs, viewers and clouds, and the guard on its router.

home.py builds the network, media.py the pictures, draw.py turns a seed into scenarios, play.py acts one scenario,
record.py runs a whole seed (programs, tcpdump, guard) and leaves expected.jsonl and events.jsonl, verdict.py compares
the two. house.py is a smaller home with guard, messenger, phone and Home Assistant (test_phone.py); inside.py puts
other tests' receivers into it. programs/ are what runs inside the namespaces. `python -m tests.lab --help` lists the
commands.
"""
