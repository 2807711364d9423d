"""Engines: the faults that units survive, several engines on one host, pulls, the contract with the fake engine."""
