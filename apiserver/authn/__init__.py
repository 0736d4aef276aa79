"""Who asks: certificates, token files, service-account tokens, nobody. What they may do is `apiserver.authz`."""
