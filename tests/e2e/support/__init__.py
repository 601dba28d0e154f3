"""What the end-to-end tests are built from: real servers, proxies that misbehave on command, and the program.

Every module stands for one part (a PostgreSQL server, an S3 server, the state directory, …) and knows nothing about
any test. scenario.py joins them into "a shop with a backup", which most tests start from.
"""
