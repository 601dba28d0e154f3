"""A throw-away Kubernetes on one machine: a real control plane, and nodes that are simulated (kwok) or real.

    testbed   the command line: up, down, status, stop, start, signal, env
    bed       class Testbed: the processes of one testbed and the folder that they live in
    cluster   class Cluster: what a test asks of it
    layout    every port, address and path of a testbed
"""
