"""The vendors: base addresses, paths, credential headers; one small file each."""
