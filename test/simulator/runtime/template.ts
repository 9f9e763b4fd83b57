/** The module that the simulated platform is given. It runs the sources themselves, so nothing is in it. */
export default "";
