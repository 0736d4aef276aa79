"""Programs that use a client library as its own documentation does; `test_clients` runs each as a process of its own.

They are given a kubeconfig and a namespace, and end with 0 when everything was as it should be.
"""
