"""Identity of clients, their rights, and the audit of what they did.

Below the wire, because every server of this project needs it. It imports nothing of ours but the ground.
"""
