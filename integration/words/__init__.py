"""The vocabulary of the tests: units and payloads to install, and questions about the machine afterwards.

A function that one test module needs stays in that module. Machines are made in harness/.
"""
