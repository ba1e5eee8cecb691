"""What both roles use and belongs to neither: locations, rates, files, processes, the log."""
