"""The demonstration, above both apps: tasks, what happened to them, and the messages that were sent about it.

`tasks`, `history` and `scripts` are pure: the same seed, instant and options always give the same history. `seeding`
and `deliveries` write it. An application of Django for the sake of its command, `manage.py seed_demo`.
"""
