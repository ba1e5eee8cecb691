"""The HTTP routes of both roles: decode, call one method, encode. No rules live here."""
