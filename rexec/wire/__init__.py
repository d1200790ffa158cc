"""The protocols of the ARTIQ ecosystem, spoken to peers of any age: PYON, pc_rpc, sync_struct, broadcast."""
