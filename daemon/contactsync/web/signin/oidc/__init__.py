"""Sign-in by an OpenID provider: code flow with PKCE, state and nonce.

Only `sign_in`, `provider` and `transport` need the extra.
"""
