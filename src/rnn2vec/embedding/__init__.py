"""Pre-trained encoders as people use them."""
