"""The evidence crate of a run: a Five Safes RO-Crate 0.4 in a BagIt bag, made from the signed bundle and checked offline."""
