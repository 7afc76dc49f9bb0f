//! Layers, losses, optimisers and models, generic over the protocol
