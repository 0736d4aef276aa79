"""The plugins, one file each. They import the framework; the framework imports none of them."""
