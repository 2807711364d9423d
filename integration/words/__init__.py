"""What the tests of several groups say: units and payloads to install, and questions about what became of them.

A function that one test module needs stays in that module. How a machine is made and reached is in harness/.
"""
