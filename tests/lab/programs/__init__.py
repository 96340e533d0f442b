"""What runs inside the namespaces; each is started by /usr/bin/python3 and imports nothing of ours."""
