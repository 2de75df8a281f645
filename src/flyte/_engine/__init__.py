"""The rules of a run, pure: no clock, no database, no event loop, no randomness.

What is recorded and the time come in as arguments; what happens next comes out. The local engine and the control
plane both drive these rules, which is what keeps their action names, retries and errors the same.
"""
