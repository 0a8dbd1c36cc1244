"""Ways to others' systems: logins at OpenID providers."""
