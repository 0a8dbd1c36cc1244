"""L4: sans-IO protocol, transports, hub, site, store."""
