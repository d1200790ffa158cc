"""What a run adds up to as an HDF5 file in ARTIQ's layout: values, their forms, and the file around them."""
