"""The service proxy: Services and EndpointSlices in, packet filter rules out. It imports no other component."""
