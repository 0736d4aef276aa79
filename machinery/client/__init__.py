"""The client side of the API: config, requests, watches, informers, the controller loop, leader election, events."""
