"""What the owner minds: Session in, verdict and Alert out. Pure.

Only this folder changes when the owner's wishes change.

schedule.py  is time t inside "mon-fri 22:00-06:30"
rules.py     a viewing -> expected or not, with the reason in words
quiet.py     one alert a matter: opened, updated on a growing scale, closed, taken up again
sight.py     does the guard see each camera at all
"""
